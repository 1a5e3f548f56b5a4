#include "loopback/service.hpp"

#include "loopback/channel.hpp"
#include "loopback/ring_view.hpp"
#include "loopback/system.hpp"

namespace fairway::detail::shm {

namespace {

// A channel without a find for that many finds of others is parked alone.
constexpr std::uint64_t finds_of_others_max = 512;

// A peer that sleeps answers after it was woken, which costs what it costs here, and its work: a
// window that ends before that is of no use.
constexpr int wakes_of_window = 2;

}  // namespace

service& service::of(port_core& core) {
  if (core.hook() == nullptr) core.set_hook(*new service{core});
  return static_cast<service&>(*core.hook());
}

service::service(port_core& core)
    : core_{core},
      process_{system::process_number()},
      window_{system::one_processor() ? duration::zero()
                                      : duration{wakes_of_window * system::wake_cost()}} {
  hot = [](const poll_hook& h) noexcept {
    return static_cast<const service&>(h).first_ != nullptr;
  };
  look = [](poll_hook& h) noexcept { return static_cast<service&>(h).look_at_all(); };
  window = [](const poll_hook& h) noexcept {
    return static_cast<const service&>(h).window_.length();
  };
  missed = [](poll_hook& h) noexcept {
    poll_window& looking = static_cast<service&>(h).window_;
    looking.missed(looking.length());
  };
  park = [](poll_hook& h) noexcept { return static_cast<service&>(h).park_all(); };
  slept = [](poll_hook& h, duration time) noexcept {
    static_cast<service&>(h).window_.slept(time);
  };
  end = [](poll_hook& h) noexcept { delete &static_cast<service&>(h); };
}

service::~service() {
  for (ring_view* v = views_; v != nullptr; v = v->following) v->port_ended();
}

void service::lent(ring_view& view) noexcept {
  view.previous = nullptr;
  view.following = views_;
  if (views_ != nullptr) views_->previous = &view;
  views_ = &view;
}

void service::given_back(ring_view& view) noexcept {
  (view.previous != nullptr ? view.previous->following : views_) = view.following;
  if (view.following != nullptr) view.following->previous = view.previous;
}

bool service::is_own() const noexcept { return process_ == system::process_number(); }

void service::add(channel& waiting) noexcept {
  if (waiting.listed) return;
  waiting.disarm();
  waiting.found_at = found_;
  waiting.listed = true;
  waiting.previous = nullptr;
  waiting.following = first_;
  if (first_ != nullptr) first_->previous = &waiting;
  first_ = &waiting;
}

void service::remove(channel& waiting) noexcept {
  if (!waiting.listed) return;
  waiting.listed = false;
  (waiting.previous != nullptr ? waiting.previous->following : first_) = waiting.following;
  if (waiting.following != nullptr) waiting.following->previous = waiting.previous;
}

bool service::look_at_all() noexcept {
  bool any = false;
  for (channel* c = first_; c != nullptr;) {
    channel* const following = c->following;
    if (!c->waits()) {
      remove(*c);  // its operations were cancelled
    } else if (c->look()) {
      any = true;
      c->found_at = ++found_;
      if (!c->waits()) remove(*c);
    } else if (found_ - c->found_at > finds_of_others_max) {
      park_one(*c);
    }
    c = following;
  }
  if (any) window_.found();
  return any;
}

void service::park_one(channel& waiting) noexcept {
  remove(waiting);
  waiting.arm();
  full_fence();
  if (waiting.look() && waiting.waits()) {
    waiting.arm();
    full_fence();
    waiting.look();
  }
}

bool service::park_all() noexcept {
  for (channel* c = first_; c != nullptr; c = c->following) c->arm();
  full_fence();
  if (look_at_all()) {
    for (channel* c = first_; c != nullptr; c = c->following) c->disarm();
    return true;
  }
  while (first_ != nullptr) remove(*first_);
  return false;
}

}  // namespace fairway::detail::shm
