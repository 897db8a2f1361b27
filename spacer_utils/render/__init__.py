"""Rendering: procedural furniture, room shells, and a rasteriser that gives colour, instance ids
and metric depth."""

from .renderer import Frame, Renderer

__all__ = ["Frame", "Renderer"]
