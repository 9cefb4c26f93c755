// Images at other sizes, pixel for pixel as OpenCV's INTER_AREA and INTER_LINEAR, which the Python engine uses.
#pragma once

#include <vector>

#include "image.hpp"

namespace explained {

/// Averages over areas. Neither side may grow; `result` must be another image.
void shrink(const Image& image, int height, int width, Image& result);

/// A value between two neighbours: (1 - share) of the one at `low` and share of the one at `high`.
struct Between {
    int low;
    int high;
    float share;
};

/// Where each of `to` pixels lies among `from` ones, with half-pixel centres.
std::vector<Between> linear_positions(int from, int to);

}  // namespace explained
