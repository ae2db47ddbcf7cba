"""A cell's equations, traced, differentiated and built as C."""
