// Pictures of heatmaps, in the colours of the Python engine (engine/render/overlays.py).
#pragma once

#include "image.hpp"

namespace explained {

/// Lays a heatmap over its image: more opaque where it is hotter, so that the image stays as it is where there is none.
Image overlay(const Image& image, const Map& heatmap);

/// Shows a map of single pixels by itself, clipped at the 99th percentile: a few pixels are far above the rest.
Image saliency(const Map& heatmap);

}  // namespace explained
