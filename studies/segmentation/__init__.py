"""Segmentation learnt from image labels: seeds by Grad-CAM, and the losses of Kolesnikov and Lampert 2016."""
