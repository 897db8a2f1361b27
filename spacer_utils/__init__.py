"""SpaceR workbook: verifiable spatial questions about room videos, and GRPO with map imagination
(arXiv 2504.01805)."""

__version__ = "0.1.0"
