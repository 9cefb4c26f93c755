#include "worker_pool.hpp"

namespace explained {

WorkerPool::WorkerPool(std::size_t threads) : capacity_(threads) {
    try {
        for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {  // the machine grants no more threads
        close();
        throw;
    }
}

WorkerPool::~WorkerPool() { close(); }

void WorkerPool::close() {
    {
        const std::lock_guard lock(mutex_);
        is_closed_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::push(std::function<void(Workspace&)> request) {
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return waiting_.size() < capacity_; });
        waiting_.push_back(std::move(request));
    }
    changed_.notify_all();
}

void WorkerPool::work() {
    Workspace workspace;
    for (;;) {
        std::function<void(Workspace&)> request;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return is_closed_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            request = std::move(waiting_.front());
            waiting_.pop_front();
        }
        changed_.notify_all();
        request(workspace);
    }
}

}  // namespace explained
