// Threads that share a queue of requests.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "preprocess.hpp"

namespace explained {

/// Each thread has a workspace of its own, so that requests share nothing but the model.
class WorkerPool {
public:
    explicit WorkerPool(std::size_t threads);
    ~WorkerPool();  ///< finishes what waits

    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    /// Hands in a request, a function of a `Workspace&`. Blocks while as many wait as there are threads, so that what
    /// comes in faster than it is served does not fill the memory. What the function throws comes out of the future.
    template <class Request>
    std::future<std::invoke_result_t<Request, Workspace&>> submit(Request request) {
        using Task = std::packaged_task<std::invoke_result_t<Request, Workspace&>(Workspace&)>;
        auto task = std::make_shared<Task>(std::move(request));  // std::function wants what can be copied
        auto result = task->get_future();
        push([task](Workspace& workspace) { (*task)(workspace); });
        return result;
    }

private:
    void push(std::function<void(Workspace&)> request);
    void work();
    void close();

    const std::size_t capacity_;  ///< how many requests may wait
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void(Workspace&)>> waiting_;
    bool is_closed_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace explained
