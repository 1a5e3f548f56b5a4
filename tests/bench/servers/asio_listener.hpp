// The listening socket of the servers on Boost.Asio.
#pragma once

#include "common.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace bench {

inline boost::asio::ip::tcp::acceptor listen(boost::asio::io_context& context,
                                             const bench_arguments& given) {
  using boost::asio::ip::tcp;
  const tcp::endpoint where{boost::asio::ip::make_address(given.address),
                            static_cast<boost::asio::ip::port_type>(given.port)};
  tcp::acceptor listener{context};
  listener.open(where.protocol());
  listener.set_option(tcp::acceptor::reuse_address{true});
  listener.bind(where);
  listener.listen(bench_backlog);
  bench_announce(given.address, listener.local_endpoint().port());
  return listener;
}

}  // namespace bench
