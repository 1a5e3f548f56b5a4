// A transfer that is larger than any buffer on the way, every byte of it compared.
#pragma once

#include "support/net.hpp"

#include <string>

namespace support {

inline void transfer_whole(fairway::completion_port& port, fairway::stream& from,
                           fairway::stream& to, std::size_t bytes) {
  std::string sent(bytes, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 / 7);
  std::string got(sent.size(), '\0');
  int ended = 0;
  fairway::spawn(port, [&]() -> fairway::task<> {
    CHECK((co_await fairway::async_write(from, asio::buffer(sent))).value() == sent.size());
    ++ended;
  });
  fairway::spawn(port, [&]() -> fairway::task<> {
    CHECK((co_await fairway::async_read(to, asio::buffer(got))).value() == got.size());
    ++ended;
  });
  pump(port, [&] { return ended == 2; });
  CHECK(got == sent);
}

}  // namespace support
