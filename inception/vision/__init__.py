"""Photos: any image file as an RGB picture of bounded size, without metadata, and preprocessing."""
