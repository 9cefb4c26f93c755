// What can go wrong, as one line that names the thing, the problem and the remedy.
#pragma once

#include <stdexcept>

namespace explained {

/// A file, the model or the machine stands in the way; the program exits with 1.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The call itself asks for something that does not exist; the program exits with 2.
struct UsageError : Error {
    using Error::Error;
};

}  // namespace explained
