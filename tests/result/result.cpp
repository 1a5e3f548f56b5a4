#include <fairway/result.hpp>

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>

#include <cerrno>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

using boost::system::error_code;
using fairway::condition;
using fairway::error;
namespace asio_error = boost::asio::error;

namespace {

constexpr int first = static_cast<int>(condition::aborted);
constexpr int last = static_cast<int>(condition::interrupted);

struct row {
  int code;
  condition means;
};

// Every number that the page of the loopback control code, Winsock and a completion port give.
constexpr row windows_table[] = {
    {995, condition::aborted},           {1235, condition::aborted},
    {10103, condition::aborted},         {10111, condition::aborted},
    {676, condition::aborted},           {735, condition::aborted},
    {38, condition::eof},                {10101, condition::eof},
    {64, condition::reset},              {1236, condition::reset},
    {109, condition::reset},             {232, condition::reset},
    {10052, condition::reset},           {10053, condition::reset},
    {10054, condition::reset},           {10058, condition::reset},
    {1225, condition::refused},          {1234, condition::refused},
    {10061, condition::refused},         {1231, condition::unreachable},
    {1232, condition::unreachable},      {1233, condition::unreachable},
    {10051, condition::unreachable},     {10064, condition::unreachable},
    {10065, condition::unreachable},     {121, condition::timed_out},
    {258, condition::timed_out},         {1460, condition::timed_out},
    {10060, condition::timed_out},       {1227, condition::address_in_use},
    {10048, condition::address_in_use},  {5, condition::access_denied},
    {65, condition::access_denied},      {10013, condition::access_denied},
    {4, condition::no_descriptors},      {8, condition::no_descriptors},
    {14, condition::no_descriptors},     {1450, condition::no_descriptors},
    {1455, condition::no_descriptors},   {10024, condition::no_descriptors},
    {10055, condition::no_descriptors},  {87, condition::invalid_argument},
    {10022, condition::invalid_argument}, {1, condition::not_supported},
    {50, condition::not_supported},      {10042, condition::not_supported},
    {10043, condition::not_supported},   {10045, condition::not_supported},
    {10047, condition::not_supported},   {6, condition::not_a_socket},
    {10009, condition::not_a_socket},    {10038, condition::not_a_socket},
    {10050, condition::network_down},    {1222, condition::network_down},
    {998, condition::bad_address},       {487, condition::bad_address},
    {10014, condition::bad_address},     {996, condition::in_progress},
    {997, condition::in_progress},       {10036, condition::in_progress},
    {10037, condition::in_progress},     {10004, condition::interrupted},
};

constexpr row errno_table[] = {
    {ECANCELED, condition::aborted},          {ECONNRESET, condition::reset},
    {ECONNABORTED, condition::reset},         {ENETRESET, condition::reset},
    {EPIPE, condition::reset},                {ECONNREFUSED, condition::refused},
    {EHOSTUNREACH, condition::unreachable},   {ENETUNREACH, condition::unreachable},
    {ETIMEDOUT, condition::timed_out},        {EADDRINUSE, condition::address_in_use},
    {EACCES, condition::access_denied},       {EPERM, condition::access_denied},
    {EMFILE, condition::no_descriptors},      {ENFILE, condition::no_descriptors},
    {ENOBUFS, condition::no_descriptors},     {ENOMEM, condition::no_descriptors},
    {EINVAL, condition::invalid_argument},    {EOPNOTSUPP, condition::not_supported},
    {ENOTSUP, condition::not_supported},      {ENOPROTOOPT, condition::not_supported},
    {ENOSYS, condition::not_supported},       {EAFNOSUPPORT, condition::not_supported},
    {EPROTONOSUPPORT, condition::not_supported}, {ENOTSOCK, condition::not_a_socket},
    {EBADF, condition::not_a_socket},         {ENETDOWN, condition::network_down},
    {EFAULT, condition::bad_address},         {EINPROGRESS, condition::in_progress},
    {EALREADY, condition::in_progress},       {EINTR, condition::interrupted},
};

// The conditions that a code compares equal to.
std::set<int> conditions_of(const error_code& code) {
  std::set<int> found;
  for (int i = first; i <= last; ++i) {
    if (code == static_cast<condition>(i)) found.insert(i);
  }
  return found;
}

std::set<int> only(condition c) { return {static_cast<int>(c)}; }

}  // namespace

TEST_CASE("each Windows code has the condition of its meaning") {
  for (const row& each : windows_table) {
    CAPTURE(each.code);
    CHECK(fairway::detail::condition_of_windows(each.code) == static_cast<int>(each.means));
  }
}

TEST_CASE("each errno value has the condition of its meaning") {
  for (const row& each : errno_table) {
    CAPTURE(each.code);
    CHECK(fairway::detail::condition_of_errno(each.code) == static_cast<int>(each.means));
  }
}

TEST_CASE("every condition but end of stream has a code on both systems") {
  for (int i = first; i <= last; ++i) {
    CAPTURE(i);
    bool in_windows = false;
    bool in_errno = false;
    for (const row& each : windows_table) in_windows |= static_cast<int>(each.means) == i;
    for (const row& each : errno_table) in_errno |= static_cast<int>(each.means) == i;
    CHECK(in_windows);
    CHECK(in_errno == (i != static_cast<int>(condition::eof)));
  }
}

TEST_CASE("codes of this system compare equal to one condition") {
#if defined(_WIN32)
  for (const row& each : windows_table) {
#else
  for (const row& each : errno_table) {
#endif
    CAPTURE(each.code);
    CHECK(conditions_of({each.code, boost::system::system_category()}) == only(each.means));
  }
}

TEST_CASE("codes of the generic category compare equal to one condition") {
  for (const row& each : errno_table) {
    CAPTURE(each.code);
    CHECK(conditions_of({each.code, boost::system::generic_category()}) == only(each.means));
  }
}

TEST_CASE("Asio's names have the conditions of the same names") {
  const std::pair<asio_error::basic_errors, condition> names[] = {
      {asio_error::operation_aborted, condition::aborted},
      {asio_error::connection_reset, condition::reset},
      {asio_error::connection_aborted, condition::reset},
      {asio_error::broken_pipe, condition::reset},
      {asio_error::shut_down, condition::reset},
      {asio_error::connection_refused, condition::refused},
      {asio_error::host_unreachable, condition::unreachable},
      {asio_error::network_unreachable, condition::unreachable},
      {asio_error::timed_out, condition::timed_out},
      {asio_error::address_in_use, condition::address_in_use},
      {asio_error::access_denied, condition::access_denied},
      {asio_error::no_permission, condition::access_denied},
      {asio_error::no_descriptors, condition::no_descriptors},
      {asio_error::no_buffer_space, condition::no_descriptors},
      {asio_error::no_memory, condition::no_descriptors},
      {asio_error::invalid_argument, condition::invalid_argument},
      {asio_error::operation_not_supported, condition::not_supported},
      {asio_error::address_family_not_supported, condition::not_supported},
      {asio_error::no_protocol_option, condition::not_supported},
      {asio_error::not_socket, condition::not_a_socket},
      {asio_error::bad_descriptor, condition::not_a_socket},
      {asio_error::network_down, condition::network_down},
      {asio_error::fault, condition::bad_address},
      {asio_error::in_progress, condition::in_progress},
      {asio_error::already_started, condition::in_progress},
      {asio_error::interrupted, condition::interrupted}};
  for (const auto& [name, means] : names) {
    CAPTURE(error_code{name}.message());
    CHECK(conditions_of(name) == only(means));
  }
}

TEST_CASE("Asio's end of file is the end of a stream") {
  CHECK(conditions_of(asio_error::eof) == only(condition::eof));
}

TEST_CASE("closing by us and a reset by the peer are different conditions") {
  CHECK_FALSE(error_code{asio_error::operation_aborted} == condition::reset);
  CHECK_FALSE(error_code{asio_error::connection_reset} == condition::aborted);
}

TEST_CASE("what is no failure of a connection has no condition") {
  CHECK(conditions_of({}).empty());
  CHECK(conditions_of(asio_error::would_block).empty());
  CHECK(conditions_of(asio_error::not_connected).empty());
  CHECK(conditions_of(asio_error::already_connected).empty());
  CHECK(conditions_of(asio_error::not_found).empty());
  CHECK(conditions_of({1000000, boost::system::system_category()}).empty());
  CHECK(conditions_of({-1, boost::system::generic_category()}).empty());
  // A cancel that came too late: a normal answer.
  CHECK(fairway::detail::condition_of_windows(1168) == 0);
  CHECK(fairway::detail::condition_of_windows(0) == 0);
  CHECK(fairway::detail::condition_of_errno(0) == 0);
}

TEST_CASE("codes of name look-ups have no condition") {
  CHECK(conditions_of({asio_error::host_not_found, asio_error::get_netdb_category()}).empty());
#if !defined(_WIN32)
  // On Windows these are numbers of the system.
  CHECK(conditions_of(asio_error::service_not_found).empty());
#endif
}

TEST_CASE("a number means nothing in another category") {
  for (int i = first; i <= last; ++i) {
    if (i == asio_error::eof) continue;
    CHECK(conditions_of({i, asio_error::get_misc_category()}).empty());
  }
}

TEST_CASE("an error of ours has the condition that its description names, or none") {
  for (const error each : {error::frame_too_large, error::protocol_violation,
                           error::peer_broke_the_ring, error::drained, error::ring_is_held}) {
    CHECK(conditions_of(each).empty());
  }
  for (const error each : {error::routine_on_port, error::too_late, error::wrong_kind_of_socket,
                           error::conditional_accept_refused}) {
    CHECK(conditions_of(each) == only(condition::invalid_argument));
  }
  CHECK(conditions_of(error::option_off_fast_path) == only(condition::not_supported));
  CHECK(conditions_of({1000, fairway::fairway_category()}).empty());
}

TEST_CASE("every condition has its own message") {
  std::set<std::string> messages;
  for (int i = first; i <= last; ++i) {
    messages.insert(make_error_condition(static_cast<condition>(i)).message());
  }
  CHECK(messages.size() == static_cast<std::size_t>(last - first + 1));
  CHECK(messages.count(fairway::condition_category().message(last + 1)) == 0);
  CHECK(std::string{fairway::condition_category().name()} == "fairway.condition");
}

TEST_CASE("Fairway's own errors have a category and messages") {
  std::set<std::string> messages;
  for (const error each : {error::frame_too_large, error::protocol_violation,
                           error::peer_broke_the_ring, error::drained, error::frame_truncated,
                           error::routine_on_port, error::too_late, error::wrong_kind_of_socket,
                           error::option_off_fast_path, error::conditional_accept_refused,
                           error::ring_is_held}) {
    const error_code code = each;
    CHECK(code.failed());
    CHECK(code == each);
    CHECK(&code.category() == &fairway::fairway_category());
    messages.insert(code.message());
  }
  CHECK(messages.size() == 11);
  CHECK(messages.count(fairway::fairway_category().message(12)) == 0);
  CHECK(std::string{fairway::fairway_category().name()} == "fairway");
}

TEST_CASE("a result is a value or an error") {
  const fairway::result<int> good = 7;
  const fairway::result<int> bad = error_code{asio_error::timed_out};
  const fairway::result<int> ours = error::drained;
  CHECK(good.value() == 7);
  CHECK_FALSE(bad.has_value());
  CHECK(bad.error() == condition::timed_out);
  CHECK(ours.error() == error::drained);
  CHECK_THROWS_AS(bad.value(), boost::system::system_error);
  static_assert(std::is_same_v<fairway::result<int>::error_type, error_code>);
}

TEST_CASE("an error passes through a function that tries") {
  const auto twice = [](fairway::result<int> from) -> fairway::result<int> {
    BOOST_OUTCOME_TRY(const int value, from);
    return 2 * value;
  };
  CHECK(twice(21).value() == 42);
  CHECK(twice(error::protocol_violation).error() == error::protocol_violation);
}
