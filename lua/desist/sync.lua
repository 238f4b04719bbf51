--- What tasks share: events, semaphores, mutexes, queues.
--
-- All are first come, first served; each wait is a checkpoint; and who was
-- cancelled while waiting has taken nothing.

return {
  event = require "desist.sync.event",
  mutex = require "desist.sync.mutex",
  queue = require "desist.sync.queue",
  semaphore = require "desist.sync.semaphore",
}
