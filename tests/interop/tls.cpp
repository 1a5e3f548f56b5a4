// boost::asio::ssl::stream over a stream, with a certificate made here.

#include "interop/support.hpp"

#include <fairway/protocol/framed.hpp>
#include <fairway/protocol/length_prefix.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/ssl.hpp>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>

using namespace support;
using fairway::completion_port;
using fairway::framed;
using fairway::length_prefix_codec;
namespace ssl = boost::asio::ssl;

namespace {

struct free_openssl {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};

// A server context with a self-signed certificate that is good for an hour.
void make_server(ssl::context& context) {
  const std::unique_ptr<EVP_PKEY, free_openssl> key{EVP_EC_gen("P-256")};
  REQUIRE(key);
  const std::unique_ptr<X509, free_openssl> certificate{X509_new()};
  X509* c = certificate.get();
  ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
  X509_gmtime_adj(X509_getm_notBefore(c), -60);
  X509_gmtime_adj(X509_getm_notAfter(c), 3600);
  X509_set_pubkey(c, key.get());
  const auto* name = reinterpret_cast<const unsigned char*>("localhost");
  X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC, name, -1, -1, 0);
  X509_set_issuer_name(c, X509_get_subject_name(c));
  REQUIRE(X509_sign(c, key.get(), EVP_sha256()) != 0);
  REQUIRE(SSL_CTX_use_certificate(context.native_handle(), c) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(context.native_handle(), key.get()) == 1);
}

using tls = ssl::stream<fairway::stream>;

fairway::task<> serve(tls& over) {
  co_await over.async_handshake(ssl::stream_base::server, asio::deferred);
  framed peer{over, length_prefix_codec<>{}};
  while (auto got = co_await peer.async_read()) {
    if (!co_await peer.async_write(got.value())) break;
  }
  (void)co_await peer.async_flush();
}

fairway::task<> ask(tls& over, int& answered) {
  co_await over.async_handshake(ssl::stream_base::client, asio::deferred);
  {
    framed peer{over, length_prefix_codec<>{}};
    seeded random{99};
    for (const std::size_t size : {0u, 1u, 16'384u, 500'000u}) {
      const std::string sent = random.bytes(size);
      // A write of more than the peer takes at once must not keep the answer from being read.
      fairway::spawn(over.get_executor(), [&peer, sent]() -> fairway::task<> {
        (void)co_await peer.async_write(sent);
      });
      auto got = co_await peer.async_read();
      CHECK((got.value() == sent));
      ++answered;
    }
  }
  over.next_layer().close();
}

}  // namespace

TEST_CASE("messages go over TLS and back") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    ssl::context server_context{ssl::context::tls_server};
    ssl::context client_context{ssl::context::tls_client};
    make_server(server_context);
    auto pair = connect_pair(port, local);
    tls server{std::move(pair.a), server_context};
    tls client{std::move(pair.b), client_context};
    bool over = false;
    int answered = 0;
    fairway::spawn(port, [&]() -> fairway::task<> { co_await serve(server); },
                   [&](std::exception_ptr failed) {
                     CHECK(!failed);
                     over = true;
                   });
    run(port, [](tls& c, int& n) -> coroutine<void> { co_await ask(c, n); }(client, answered));
    CHECK(answered == 4);
    pump(port, [&] { return over; });
  }
}
