// How much a framed stream holds and how it gathers.
//
// Nothing is unbounded; the size of a frame is the codec's to limit. A low mark that is not below
// the high one is brought there.
#pragma once

#include <cstddef>

namespace fairway {

struct framed_options {
  // A write waits while so many bytes are queued, and until they are down to the low mark.
  std::size_t write_high_bytes = 64 * 1024;
  std::size_t write_low_bytes = 32 * 1024;

  // Queued bytes that start a write at once; fewer leave as soon as the reader waits, at a flush,
  // or when neither a message was read nor one written for a turn of the loop.
  std::size_t gather_bytes = 16 * 1024;

  // How much is read at once from a stream that does not bring buffers of its own.
  std::size_t read_bytes = 16 * 1024;
};

}  // namespace fairway
