-- The rules of gateway/registry/machine.ts in Redis: every command is one atomic script, by the clock of Redis.
--
-- KEYS instances  hash: id → instance as ProtoJSON        leases  sorted set: id by end of its lease, in ms
--      beats      sorted set: id by when its beat is overdue, in ms
--      suspects   set of ids                              meta    hash: epoch, revision, reaped (in ms)
--      deltas     stream: one entry for each revision n, with the id n-0
-- ARGV command, epoch to begin with, lease_ms of those that ask for none, the shortest lease_ms, suspect_share and
--      unattended_share of a lease, log_length, then id, incarnation, instance as far as the command has them
-- Answers {outcome, epoch, revision}; snapshot: {epoch, revision, instances, suspects}.
local instances, leases, beats, suspects, meta, deltas = unpack(KEYS)
local command, new_epoch, lease_ms, shortest_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local suspect_share, unattended_share, log_length = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local id, incarnation, instance = ARGV[8], tonumber(ARGV[9]), ARGV[10]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Without an epoch the store is new, or Redis has lost part of it: begin anew, so that everybody registers again.
if redis.call('HSETNX', meta, 'epoch', new_epoch) == 1 then
  redis.call('DEL', instances, leases, beats, suspects, deltas)
  redis.call('HSET', meta, 'reaped', now)
end
local epoch = redis.call('HGET', meta, 'epoch')

local function revision()
  return tonumber(redis.call('HGET', meta, 'revision') or 0)
end

local function record(...)
  local number = redis.call('HINCRBY', meta, 'revision', 1)
  redis.call('XADD', deltas, 'MAXLEN', '~', log_length, number .. '-0', 'epoch', epoch, ...)
end

local function upserted(instance, suspect)
  record('instance', instance, 'suspect', suspect)
end

local function removed(id, deregistered)
  redis.call('HDEL', instances, id)
  redis.call('ZREM', leases, id)
  redis.call('ZREM', beats, id)
  redis.call('SREM', suspects, id)
  record('removed', id, 'deregistered', deregistered)
end

-- The instance with this id, and whether the caller's incarnation is its own, older or younger.
local function find(id, incarnation)
  local found = redis.call('HGET', instances, id)
  if not found then return nil, 'unknown' end
  local known = tonumber(cjson.decode(found).incarnation or 0)
  if known > incarnation then return found, 'stale' end
  if known < incarnation then return found, 'younger' end
  return found, 'same'
end

-- How long an instance is believed without a beat: what it asks for, written "3s".
local function lease_of(instance)
  local asked = cjson.decode(instance).leaseTtl
  if not asked then return lease_ms end
  return tonumber(string.sub(asked, 1, -2)) * 1000
end

local function renew(id, lease)
  redis.call('ZADD', leases, now + lease, id)
  redis.call('ZADD', beats, now + lease * suspect_share, id)
end

local commands = {}

function commands.register()
  local before, who = find(id, incarnation)
  if who == 'stale' then return 'stale' end
  renew(id, lease_of(instance))
  local was_suspect = redis.call('SREM', suspects, id)
  if before ~= instance or was_suspect == 1 then
    redis.call('HSET', instances, id, instance)
    upserted(instance, '0')
  end
  return 'done'
end

function commands.beat()
  local found, who = find(id, incarnation)
  if who == 'stale' then return 'stale' end
  if who ~= 'same' then return 'unknown' end
  renew(id, lease_of(found))
  if redis.call('SREM', suspects, id) == 1 then upserted(found, '0') end
  return 'done'
end

function commands.suspect()
  local found, who = find(id, incarnation)
  if who == 'stale' then return 'stale' end
  if who ~= 'same' then return 'unknown' end
  if redis.call('SADD', suspects, id) == 1 then upserted(found, '1') end
  return 'done'
end

function commands.deregister()
  local found, who = find(id, incarnation)
  if who == 'stale' or who == 'unknown' then return who end
  removed(id, '1')
  return 'done'
end

function commands.reap()
  local unattended_ms = now - tonumber(redis.call('HGET', meta, 'reaped'))
  redis.call('HSET', meta, 'reaped', now)
  if unattended_ms > shortest_ms * unattended_share then
    for _, id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
      local lease = lease_of(redis.call('HGET', instances, id))
      if unattended_ms > lease * unattended_share then renew(id, lease) end
    end
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    removed(id, '0')
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', beats, '-inf', now)) do
    if redis.call('SADD', suspects, id) == 1 then
      upserted(redis.call('HGET', instances, id), '1')
    end
  end
  return 'done'
end

if command == 'snapshot' then
  return { epoch, revision(), redis.call('HGETALL', instances), redis.call('SMEMBERS', suspects) }
end
local outcome = commands[command]()
return { outcome, epoch, revision() }
