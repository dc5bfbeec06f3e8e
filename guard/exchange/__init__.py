"""One request and its response without I/O: admit, identify, entitle, count, screen, record."""
