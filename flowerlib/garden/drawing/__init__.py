"""What all pictures are drawn with: pixels, frames, solids, facets, light and the camera."""
