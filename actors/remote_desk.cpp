#include "actors/remote_desk.hpp"

#include "actors/caf_error.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace busbar {

namespace {

constexpr std::chrono::seconds covers_patience{10};

struct desk_state {
  static constexpr const char* name = "remote_desk";
  explicit desk_state(remote_desk_actor::pointer self) : self{self} {}

  remote_desk_actor::behavior_type make_behavior() {
    return {
        [this](moved_atom, const move_list&, std::uint32_t materializer) {
          self->send(others->materializers[materializer], ready_atom_v, session_actor{self});
        },
        [this](check_atom, const id_list& ids) {
          for (const auto id : ids)
            look(id);
        },
        [](tick_atom) {},
        [this](ask_atom, const remote_task_ptr& task) {
          std::visit([&](const auto& what) { answer(task, what); }, task->what);
        },
    };
  }

  void done(const remote_task_ptr& task, bool yes = false) {
    task->reply({.sequence = store->sequence(), .yes = yes, .why = {}});
  }
  void failed(const remote_task_ptr& task, error why) {
    task->reply({.sequence = store->sequence(), .yes = false, .why = std::move(why)});
  }

  /// The shape is there for the follower when its snapshot is whole: until then it is not in what
  /// followers may show.
  void answer(const remote_task_ptr& task, const cluster::find_question& what) {
    self->request(others->directory, caf::infinite, find_atom_v, what.what, std::string{})
        .then(
            [this, task](const shape_ptr& shape) {
              auto& one = waiting[shape->id()];
              one.shape = shape;
              one.tasks.push_back(task);
              // Answered by a check, whatever the shape is by then.
              self->send(others->materializer_of(shape->id()), watch_atom_v, shape,
                         session_actor{self});
            },
            [this, task](const caf::error& why) { failed(task, from_caf(why)); });
  }

  void look(storage::shape_id id) {
    const auto found = waiting.find(id);
    if (found == waiting.end())
      return;
    const auto p = found->second.shape->progress();
    if (!p.complete && !p.gone)
      return;
    const auto tasks = std::move(found->second.tasks);
    waiting.erase(found);
    self->send(others->materializer_of(id), unwatch_atom_v, id, session_actor{self});
    for (const auto& task : tasks)
      if (!p.gone)
        done(task);
      else
        failed(task, p.failure ? *p.failure
                               : error{errc::unavailable, "the shape went as soon as it was made"});
  }

  // What comes after a removal, from the same node, finds it done: the messages keep their order.
  void answer(const remote_task_ptr& task, const cluster::drop_question& what) {
    if (const auto shape = index->find(what.handle); shape && !shape->progress().gone)
      self->send(others->directory, drop_atom_v, shape);
    done(task);
  }

  void answer(const remote_task_ptr& task, const cluster::invalid_question& what) {
    if (const auto shape = index->find(what.handle); shape && !shape->progress().gone)
      self->send(others->directory, invalid_atom_v, shape, what.reason);
    done(task);
  }

  void answer(const remote_task_ptr& task, const cluster::covers_question& what) {
    self->request(others->materializer_of(what.shape), covers_patience, covers_atom_v, what.sees,
                  lsn{what.upto}, what.shape)
        .then([this, task](bool yes) { done(task, yes); },
              [this, task](const caf::error& why) { failed(task, from_caf(why)); });
  }

  void answer(const remote_task_ptr& task, const cluster::barrier_question&) { done(task); }

  void answer(const remote_task_ptr& task, const cluster::reads_question& what) {
    const std::unordered_set<storage::shape_id> read{what.shapes.begin(), what.shapes.end()};
    for (const auto& shape : index->all())
      if (read.contains(shape->id()))
        shape->note_read();
    done(task);
  }

  remote_desk_actor::pointer self;
  const storage::store* store = nullptr;
  const shape_index* index = nullptr;
  cast_ptr others;
  struct unfinished {
    shape_ptr shape;
    std::vector<remote_task_ptr> tasks;
  };
  std::unordered_map<storage::shape_id, unfinished> waiting;
};

} // namespace

remote_desk_actor spawn_remote_desk(caf::actor_system& system, const storage::store& store,
                                    const shape_index& index, cast_ptr others) {
  return system.spawn([&store, &index, others = std::move(others)](
                          remote_desk_actor::stateful_pointer<desk_state> self) {
    self->state.store = &store;
    self->state.index = &index;
    self->state.others = others;
    return self->state.make_behavior();
  });
}

} // namespace busbar
