"""Models that speak: captions of images, and answers to questions on them."""
