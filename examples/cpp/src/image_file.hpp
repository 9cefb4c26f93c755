// Images and maps on disk: netpbm files, all that OpenCV reads where it is there, and numpy's.
#pragma once

#include <filesystem>

#include "image.hpp"

namespace explained {

/// Suffix of the pictures that `write_picture` writes.
#ifdef EXPLAIN_WITH_OPENCV
inline constexpr auto picture_suffix = ".png";
#else
inline constexpr auto picture_suffix = ".ppm";
#endif

/// Reads an image of 8 bits. Throws Error where the file is missing, damaged, or of a format that is not read here.
Image read_image(const std::filesystem::path& path);

/// Writers leave the whole file or none. They throw Error where the folder cannot be written to.
void write_picture(const std::filesystem::path& path, const Image& image);
/// 16-bit grey (PGM): 0 is black and the magnitude 1 is white.
void write_grey(const std::filesystem::path& path, const Map& map);
/// float32 [H, W], as numpy.load reads it.
void write_npy(const std::filesystem::path& path, const Map& map);

}  // namespace explained
