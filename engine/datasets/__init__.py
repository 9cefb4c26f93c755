"""Images with annotations: the data sets that explanations are measured on."""
