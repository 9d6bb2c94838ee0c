"""From an encoded image to what was seen on it: decode, detect, cut out, embed."""
