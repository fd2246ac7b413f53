"""Media formats and streams inside a node: bytes in, packets out. Nothing decodes a picture."""
