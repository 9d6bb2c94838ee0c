"""Which picture is a copy of which: the perceptual hash, or a network of one's own."""
