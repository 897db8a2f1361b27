"""Rendering: furniture, walls and cameras, and a rasteriser for colour, instance ids and depth."""

from .renderer import Frame, Renderer

__all__ = ["Frame", "Renderer"]
