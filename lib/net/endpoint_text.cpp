// What people write and read of endpoints: `parse`, `to_string`, `split_host_service`.
#include <fairway/net/endpoint.hpp>

#include "net/address_text.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <charconv>

namespace fairway {

namespace {

namespace ip = boost::asio::ip;

constexpr std::string_view local_prefix = "unix:";

boost::system::error_code not_text() noexcept { return boost::asio::error::invalid_argument; }

// All of `text` is one decimal number up to `most`; signs and spaces are none of it.
result<std::uint32_t> parse_number(std::string_view text, std::uint32_t most) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value > most) return not_text();
  return value;
}

result<std::uint16_t> parse_port(std::string_view text) {
  if (text.size() > 1 && text.front() == '0') return not_text();
  BOOST_OUTCOME_TRY(const std::uint32_t value, parse_number(text, 65535));
  return static_cast<std::uint16_t>(value);
}

bool printable(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f;
  });
}

result<ip::address> parse_scoped_v6(std::string_view text) {
  const std::size_t percent = text.find('%');
  const auto bytes = detail::parse_v6(text.substr(0, percent));
  if (!bytes) return not_text();
  ip::address_v6 address{*bytes};
  if (percent == std::string_view::npos) return ip::address{address};
  const std::string_view scope = text.substr(percent + 1);
  if (const auto number = parse_number(scope, 0xffffffff)) {
    address.scope_id(number.value());
    return ip::address{address};
  }
  // A name: the system knows its number. Zero is what comes of a name that it does not know, unless
  // the name begins like a number, which then counts.
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (scope.empty() || !letter(scope.front()) || !printable(scope)) return not_text();
  boost::system::error_code ec;
  const auto named = ip::make_address_v6(std::string{text}, ec);
  if (ec || named.scope_id() == 0) return not_text();
  address.scope_id(named.scope_id());
  return ip::address{address};
}

}  // namespace

result<endpoint> endpoint::parse(std::string_view text) {
  if (text.starts_with(local_prefix)) return local(text.substr(local_prefix.size()));
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return not_text();
  std::string_view host = text.substr(0, colon);
  BOOST_OUTCOME_TRY(const std::uint16_t port, parse_port(text.substr(colon + 1)));
  if (!host.starts_with('[')) {
    const auto bytes = detail::parse_v4(host);
    if (!bytes) return not_text();
    return endpoint{ip::address_v4{*bytes}, port};
  }
  if (!host.ends_with(']')) return not_text();
  BOOST_OUTCOME_TRY(const ip::address address, parse_scoped_v6(host.substr(1, host.size() - 2)));
  return endpoint{address, port};
}

std::string endpoint::to_string() const {
  const ip::address host = address();
  switch (family()) {
    case endpoint_family::v4:
      return detail::format_v4(host.to_v4().to_bytes()) + ":" + std::to_string(port());
    case endpoint_family::v6: {
      const auto scope = host.to_v6().scope_id();
      return "[" + detail::format_v6(host.to_v6().to_bytes()) +
             (scope != 0 ? "%" + std::to_string(scope) : std::string{}) + "]:" +
             std::to_string(port());
    }
    case endpoint_family::local: break;
  }
  std::string text{local_prefix};
  for (const char each : path()) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte >= 0x20 && byte != 0x7f) {
      text += each;
    } else {
      constexpr char digits[] = "0123456789abcdef";
      text += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return text;
}

result<host_service> split_host_service(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !printable(text)) return not_text();
  std::string_view host = text.substr(0, colon);
  const std::string_view service = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return not_text();  // an IPv6 address without brackets: where its port begins is a guess
  }
  if (host.empty() || service.empty() || host.find_first_of("[]") != std::string_view::npos ||
      service.find(']') != std::string_view::npos) {
    return not_text();
  }
  return host_service{std::string{host}, std::string{service}};
}

}  // namespace fairway
