"""A model file to a `Model` and back: reading, canonical form, metadata, writing."""
