"""Whether a classifier serves groups of images alike, and where it looks when it does not.

Selvaraju et al. 2017, "Grad-CAM", section on bias in data sets: a classifier of doctors and nurses.
"""
