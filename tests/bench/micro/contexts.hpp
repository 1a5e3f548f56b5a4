// What a loop costs without sockets, as Google Benchmark cases over any execution context with
// `io_context`'s run interface and a timer made for it. One item is one handler, or one timer.
//
//   post_same     a handler posts the next one, 64 such chains at once
//   post_other    another thread posts, the loop's thread runs
//   dispatch      from inside a handler: runs at once
//   timer_cancel  a handler sets and awaits timers, then cancels them; 1,000 others wait
//   timer_expiry  1,000 timers that are due run
#pragma once

#include <benchmark/benchmark.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace bench {

namespace asio = boost::asio;
constexpr int batch = 1024;
constexpr int chains = 64;

template <class Executor>
struct chain {
  Executor executor;
  int* left;
  void operator()() const {
    if (--*left > 0) asio::post(executor, *this);
  }
};

template <class Loop>
void post_same(benchmark::State& state) {
  Loop loop;
  auto executor = loop.context.get_executor();
  for (auto _ : state) {
    int left = batch;
    for (int i = 0; i < chains; ++i) {
      asio::post(executor, chain<decltype(executor)>{executor, &left});
    }
    loop.context.restart();
    loop.context.run();
    benchmark::DoNotOptimize(left);
  }
  state.SetItemsProcessed(state.iterations() * (batch + chains - 1));
}

template <class Loop>
void post_other(benchmark::State& state) {
  Loop loop;
  auto executor = loop.context.get_executor();
  for (auto _ : state) {
    auto work = asio::make_work_guard(executor);
    int ran = 0;
    loop.context.restart();
    std::thread other{[&] {
      for (int i = 0; i < 64 * batch; ++i) asio::post(executor, [&ran] { ++ran; });
      asio::post(executor, [&work] { work.reset(); });
    }};
    loop.context.run();
    other.join();
    benchmark::DoNotOptimize(ran);
  }
  state.SetItemsProcessed(state.iterations() * 64 * batch);
}

template <class Loop>
void dispatch(benchmark::State& state) {
  Loop loop;
  auto executor = loop.context.get_executor();
  for (auto _ : state) {
    int ran = 0;
    asio::post(executor, [&] {
      for (int i = 0; i < batch; ++i) asio::dispatch(executor, [&ran] { ++ran; });
    });
    loop.context.restart();
    loop.context.run();
    benchmark::DoNotOptimize(ran);
  }
  state.SetItemsProcessed(state.iterations() * batch);
}

template <class Loop>
void timer_cancel(benchmark::State& state) {
  using namespace std::chrono_literals;
  using timer = typename Loop::timer;
  Loop loop;
  std::vector<timer> others, ours;
  for (int i = 0; i < 1000; ++i) {
    others.emplace_back(loop.context).expires_after(1h + i * 1s);
    others.back().async_wait([](boost::system::error_code) {});
  }
  for (int i = 0; i < chains; ++i) ours.emplace_back(loop.context);
  int ended = 0;
  const auto set_and_cancel = [&] {
    for (timer& t : ours) {
      t.expires_after(30s);
      t.async_wait([&ended](boost::system::error_code) { ++ended; });
    }
    for (timer& t : ours) t.cancel();
  };
  for (auto _ : state) {
    asio::post(loop.context.get_executor(), set_and_cancel);
    loop.context.poll();
  }
  if (ended != state.iterations() * chains) state.SkipWithError("a wait did not end");
  state.SetItemsProcessed(state.iterations() * chains);
  for (timer& t : others) t.cancel();
  loop.context.poll();
}

template <class Loop>
void timer_expiry(benchmark::State& state) {
  using timer = typename Loop::timer;
  Loop loop;
  std::vector<timer> all;
  for (int i = 0; i < 1000; ++i) all.emplace_back(loop.context);
  int ended = 0;
  for (auto _ : state) {
    const auto due = std::chrono::steady_clock::now();
    for (timer& t : all) {
      t.expires_at(due);
      t.async_wait([&ended](boost::system::error_code) { ++ended; });
    }
    loop.context.restart();
    loop.context.run();
  }
  if (ended != state.iterations() * 1000) state.SkipWithError("a wait did not end");
  state.SetItemsProcessed(state.iterations() * 1000);
}

// Names are WORK/CONTENDER, so that a filter chooses one work and both contenders of it.
template <class Loop>
void register_loop(const std::string& contender) {
  benchmark::RegisterBenchmark(("post_same/" + contender).c_str(), post_same<Loop>);
  benchmark::RegisterBenchmark(("post_other/" + contender).c_str(), post_other<Loop>)
      ->UseRealTime();
  benchmark::RegisterBenchmark(("dispatch/" + contender).c_str(), dispatch<Loop>);
  benchmark::RegisterBenchmark(("timer_cancel/" + contender).c_str(), timer_cancel<Loop>);
  benchmark::RegisterBenchmark(("timer_expiry/" + contender).c_str(), timer_expiry<Loop>);
}

}  // namespace bench
