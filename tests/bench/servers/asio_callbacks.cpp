// Boost.Asio with callbacks: the session of its own examples, kept by a shared_ptr. Built twice: on
// epoll, and on Asio's io_uring.
//
// Fair because: one `io_context{1}` on one thread (the hint for that), handlers small enough for
// Asio's recycling allocator, a buffer of 16 KiB (bulk: 64 KiB) in each session, TCP_NODELAY, the
// compiler's flags of all contenders, no assertions.
#include "asio_listener.hpp"

#include <boost/align/aligned_allocator.hpp>
#include <boost/asio/write.hpp>

#include <memory>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

const unsigned char* pattern = nullptr;

class session : public std::enable_shared_from_this<session> {
 public:
  session(tcp::socket socket, bench_work work)
      : socket_{std::move(socket)}, work_{work},
        room_(work == bench_echo ? bench_echo_bytes : bench_bulk_bytes) {}

  void start() {
    if (work_ == bench_source) {
      send();
    } else {
      read();
    }
  }

 private:
  void read() {
    socket_.async_read_some(asio::buffer(room_),
                            [self = shared_from_this()](error_code ec, std::size_t got) {
                              self->on_read(ec, got);
                            });
  }

  void on_read(error_code ec, std::size_t got) {
    if (work_ == bench_sink) {
      taken_ += got;
      if (!ec) return read();
      bench_count_bytes(taken_, answer_);
      asio::async_write(socket_, asio::buffer(answer_),
                        [self = shared_from_this()](error_code, std::size_t) {});
      return;
    }
    if (ec) return;
    asio::async_write(socket_, asio::buffer(room_.data(), got),
                      [self = shared_from_this()](error_code failed, std::size_t) {
                        if (!failed) self->read();
                      });
  }

  void send() {
    asio::async_write(socket_, asio::buffer(pattern, bench_bulk_bytes),
                      [self = shared_from_this()](error_code ec, std::size_t) {
                        if (!ec) self->send();
                      });
  }

  tcp::socket socket_;
  bench_work work_;
  std::vector<char, boost::alignment::aligned_allocator<char, bench_boundary>> room_;
  std::uint64_t taken_ = 0;
  unsigned char answer_[8];
};

void accept_more(tcp::acceptor& listener, bench_work work) {
  listener.async_accept([&listener, work](error_code ec, tcp::socket client) {
    if (!ec) {
      client.set_option(tcp::no_delay{true});
      std::make_shared<session>(std::move(client), work)->start();
    }
    accept_more(listener, work);
  });
}

}  // namespace

int main(int count, char** words) {
  const bench_arguments given = bench_parse(count, words);
  pattern = bench_pattern_bytes();
  asio::io_context context{1};
  tcp::acceptor listener = bench::listen(context, given);
  accept_more(listener, given.work);
  context.run();
}
