// The bytes that an echo client sends: a fixed random table, read round and round, so that the byte
// at each place of the stream is known and any stretch of it is one piece of memory.
#pragma once

#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <random>
#include <vector>

namespace samples {

class pattern {
 public:
  // `longest`: the longest message.
  explicit pattern(std::size_t longest)
      : length_{std::max<std::size_t>(longest, 64 * 1024) | 1}, bytes_(2 * length_) {
    std::mt19937 random{1};
    for (std::size_t i = 0; i < length_; ++i) {
      bytes_[i] = bytes_[i + length_] = static_cast<char>(random());
    }
  }

  boost::asio::const_buffer at(std::size_t place, std::size_t size) const {
    return {bytes_.data() + place % length_, size};
  }

  bool same(std::size_t place, const char* data, std::size_t size) const {
    while (size != 0) {
      const std::size_t piece = std::min(size, length_);
      if (std::memcmp(data, bytes_.data() + place % length_, piece) != 0) return false;
      place += piece;
      data += piece;
      size -= piece;
    }
    return true;
  }

 private:
  std::size_t length_;
  std::vector<char> bytes_;  // the table twice
};

class random_sizes {
 public:
  explicit random_sizes(std::size_t seed) : random_{seed} {}
  std::size_t next(std::size_t most) {
    return std::uniform_int_distribution<std::size_t>{1, most}(random_);
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace samples
