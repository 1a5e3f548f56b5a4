#include "resolver.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <charconv>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

namespace fairway::detail {

namespace {

using boost::system::error_code;
namespace net_error = boost::asio::error;

/// NI_MAXHOST: no name that the system knows is longer.
constexpr std::size_t name_bytes_max = 1025;

std::atomic<look_up_function*> look_up_in_use{&system_look_up};

bool can_be_a_name(std::string_view text) {
  // A zero byte would end the name early and look up another one.
  return !text.empty() && text.size() < name_bytes_max && text.find('\0') == text.npos;
}

bool is_number(std::string_view text) {
  return std::ranges::all_of(text, [](char each) { return each >= '0' && each <= '9'; });
}

bool is_port(std::string_view digits) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return error == std::errc{} && end == digits.data() + digits.size();
}

}  // namespace

void look_up_answer::add(const void* address, std::size_t bytes) {
  const auto target = endpoint::from_native(address, bytes);
  if (target && std::ranges::find(found, target.value()) == found.end()) {
    found.push_back(target.value());
  }
}

/// The queue and the thread of one process. Never destroyed: the thread uses it to the end.
class resolver {
 public:
  static resolver& of_this_process();

  error_code enqueue(const std::shared_ptr<name_query>& query);
  bool drop(name_query& query) noexcept;

 private:
  explicit resolver(resolver* of_the_parent) : of_the_parent_(of_the_parent) {}

  void run() noexcept;

  static std::atomic<resolver*> current_;

  const long process_ = process_number();
  // The parent's, in a forked child: its mutex may be locked for ever. Only kept reachable.
  [[maybe_unused]] resolver* const of_the_parent_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<name_query>> waiting_;
  bool running_ = false;
};

std::atomic<resolver*> resolver::current_{nullptr};

resolver& resolver::of_this_process() {
  // Acquire and release hand the constructed object to the other threads.
  resolver* found = current_.load(std::memory_order_acquire);
  if (found && found->process_ == process_number()) {
    return *found;
  }
  auto* const made = new resolver(found);
  if (current_.compare_exchange_strong(found, made, std::memory_order_acq_rel)) {
    return *made;
  }
  delete made;  // another thread was faster
  return *found;
}

error_code resolver::enqueue(const std::shared_ptr<name_query>& query) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= name_query::queue_max) {
    return net_error::no_buffer_space;
  }
  if (!running_) {
    const auto body = [](void* self) noexcept { static_cast<resolver*>(self)->run(); };
    if (const error_code error = start_detached(body, this)) {
      return error;
    }
    running_ = true;
  }
  waiting_.push_back(query);
  query->owner_ = this;
  changed_.notify_one();
  return {};
}

bool resolver::drop(name_query& query) noexcept {
  if (process_ != process_number()) {
    return query.told_;  // a child: the thread is not here
  }
  const std::lock_guard lock(mutex_);
  query.closed_ = true;
  std::erase_if(waiting_, [&](const auto& each) { return each.get() == &query; });
  return query.told_;
}

void resolver::run() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !waiting_.empty(); });
    const std::shared_ptr<name_query> query = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    query->look_up();
    lock.lock();
    if (!query->closed_) {
      query->told_ = true;
      query->answered_(query->asker_);
    }
  }
}

name_query::name_query(std::string host, std::string service, answered_function* answered,
                       void* asker)
    : host_(std::move(host)), service_(std::move(service)), answered_(answered), asker_(asker) {
  assert(answered);
}

bool name_query::start() {
  assert(!owner_ && !closed_);
  if (!can_be_a_name(host_)) {
    answer_.error = net_error::host_not_found;
    return true;
  }
  const bool numeric_service = is_number(service_);
  if (!can_be_a_name(service_) || (numeric_service && !is_port(service_))) {
    answer_.error = net_error::service_not_found;
    return true;
  }
  if (numeric_service) {
    answer_ = system_look_up(host_, service_, look_up_kind::numeric);
    if (!answer_.error) {
      return true;
    }
    answer_.error = {};
  }
  if (const error_code error = resolver::of_this_process().enqueue(shared_from_this())) {
    answer_.error = error;
    return true;
  }
  return false;  // from here the answer is the thread's
}

bool name_query::close() noexcept {
  return !owner_ || owner_->drop(*this);
}

void name_query::look_up() noexcept {
  try {
    answer_ = look_up_in_use.load(std::memory_order_acquire)(host_, service_, look_up_kind::any);
    if (!answer_.error && answer_.found.empty()) {
      answer_.error = net_error::host_not_found;
    }
  } catch (const std::bad_alloc&) {
    answer_ = {.error = net_error::no_memory, .found = {}};
  }
}

look_up_function* exchange_look_up(look_up_function* replacement) noexcept {
  return look_up_in_use.exchange(replacement, std::memory_order_acq_rel);
}

}  // namespace fairway::detail
