// ZeroMQ over tcp and ipc, for messages. It frames, queues and batches, and has a thread of its own
// for that in each process, which shares the core of its end here.
//
// Fair because: one I/O thread (its default), PAIR sockets without a high-water mark's losses (the
// default mark blocks the sender), message buffers made by the library for each message, as its
// guide does; ZeroMQ sets TCP_NODELAY itself. The library is the system's package, a release build;
// this file has the flags of all contenders.
#include "pair.hpp"

#include <zmq.h>

namespace {

using bench::pair_outcome;
using bench::pair_plan;

class end_of_pair {
 public:
  explicit end_of_pair(const std::string& at, bool server)
      : context_{zmq_ctx_new()}, socket_{zmq_socket(context_, ZMQ_PAIR)} {
    const int done = server ? zmq_bind(socket_, at.c_str()) : zmq_connect(socket_, at.c_str());
    if (done != 0) give_up();
  }
  ~end_of_pair() {
    const int linger = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }

  void send(const void* bytes, std::size_t size) {
    if (zmq_send(socket_, bytes, size, 0) < 0) give_up();
  }
  bool receive(void* bytes, std::size_t size) {
    return zmq_recv(socket_, bytes, size, 0) == static_cast<int>(size);
  }
  std::size_t take(void* bytes, std::size_t size) {
    const int got = zmq_recv(socket_, bytes, size, 0);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  void finish() { send("", 0); }

 private:
  [[noreturn]] static void give_up() {
    std::fprintf(stderr, "zeromq: %s\n", zmq_strerror(zmq_errno()));
    std::exit(1);
  }

  void* context_;
  void* socket_;
};

// A port that is free now; another program may take it before the server does, which is an error.
int free_port() {
  void* context = zmq_ctx_new();
  void* probe = zmq_socket(context, ZMQ_PAIR);
  char text[128];
  std::size_t size = sizeof text;
  if (zmq_bind(probe, "tcp://127.0.0.1:*") != 0 ||
      zmq_getsockopt(probe, ZMQ_LAST_ENDPOINT, text, &size) != 0) {
    std::exit(1);
  }
  zmq_close(probe);
  zmq_ctx_term(context);
  return std::atoi(std::strrchr(text, ':') + 1);
}

}  // namespace

int main(int count, char** words) {
  const pair_plan p = bench::parse_pair(count, words);
  const std::string at = p.transport == "ipc"
                             ? "ipc://@fairway-bench-" + std::to_string(::getpid())
                             : "tcp://127.0.0.1:" + std::to_string(free_port());
  return bench::run_pair(
      p,
      [&] {
        end_of_pair end{at, true};
        end.send("", 0);
        bench::serve_blocking(end, p);
        ::pause();  // the answer leaves in the library's own time
      },
      [&](pair_outcome& found) {
        end_of_pair end{at, false};
        // It connects in its own time, again after 100 ms when the server was not there yet.
        if (!end.receive(nullptr, 0)) return false;
        return bench::measure_blocking(end, p, found);
      });
}
