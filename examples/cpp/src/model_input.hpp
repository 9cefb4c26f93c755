// Fits preprocessing to what a model's input takes.
#pragma once

#include "preprocess.hpp"
#include "session.hpp"

namespace explained {

/// Completes recorded preprocessing with the input's own size, layout and type. Throws Error where they contradict each
/// other, and for an input that is no image.
Preprocess fit_to_input(Preprocess how, const Port& input, Layout layout);

}  // namespace explained
