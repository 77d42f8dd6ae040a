#!lua name=realtime1

-- What realtime's instances have a Redis or Valkey server do in one step.
--
-- Keys of a hub with the prefix P, all in the slot of P:
--   {P}:meta     hash: epoch, sequence (of the newest event), floor, sampled, run, and the retention:
--                events, age (ms), bytes
--   {P}:t:TOPIC  stream of a topic, entry id SEQUENCE-0, one field `m`; also the channel of its live events
--   {P}:topics   sorted set: topic -> sequence of its newest event
--   {P}:ages     sorted set: sequence -> when it was the newest (ms)
--   {P}:lives    list: `KNOWN ABOVE`, the sequence that a start of the server knew, and where it went on
--   {P}:m:NAME   channel of the marks of an instance
--
-- An event, in stream and channel alike: `EPOCH(hex) SEQUENCE PREVIOUS TIME(ms) KIND LEN(name) LEN(key)\n`,
-- name, key, data. The topic has no event between PREVIOUS and SEQUENCE.
--
-- The name of the library and of all functions but `realtime_publish` carries the version of this layout.
-- REVISION counts what changes within one: instances replace a lower one.
local REVISION = 1

-- What a double holds exactly.
local LARGEST = 9007199254740991
-- What is larger than any number that a server can have handed out after the last that it still knows:
-- a million events, and those of as many milliseconds as the epoch is old, at 1 024 a millisecond.
local LOST_EVENTS, LOST_MS, EVENTS_PER_MS = 1048576, 1000, 1024
local LIVES = 64
-- How often within the retention's age it is noted which sequence was the newest.
local SAMPLES = 16
-- Topics forgotten in one step, so that none takes long.
local FORGOTTEN = 1000
-- What is kept until an instance has said how much.
local DEFAULT_EVENTS, DEFAULT_AGE, DEFAULT_BYTES = 1024, 300000, 1048576
-- No event is larger, unless the retention's bytes are.
local EVENT_BYTES = 16777216

-- Lua and Redis would write 1e+15.
local function decimal(number)
  return string.format('%.0f', number)
end

-- In two parts, for where a C long has 32 bits.
local function hexadecimal(number)
  local high = math.floor(number / 4294967296)
  if high == 0 then
    return string.format('%x', number)
  end
  return string.format('%x%08x', high, number - high * 4294967296)
end

local function name_of(prefix, rest)
  return '{' .. prefix .. '}:' .. rest
end

local function milliseconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function failure(text)
  return redis.error_reply('ERR ' .. text)
end

-- Which start of which server this is. It outlives the data that a server loads, so that data of
-- another start, or of a master that this was a replica of, shows.
local run
local function this_run()
  if not run then
    run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  end
  return run
end

-- The newest epoch made here: the data may be flushed twice in a millisecond.
local newest_epoch = 0

-- Has the sequence begin anew. Streams of the old one are met, and removed, by `store`: no topic of
-- theirs is in `topics` any more.
local function begin(state)
  state.epoch = math.max(state.now, newest_epoch + 1, state.epoch + 1)
  newest_epoch = state.epoch
  state.sequence, state.floor, state.sampled = 0, 0, 0
  local prefix = state.prefix
  redis.call('UNLINK', name_of(prefix, 'topics'), name_of(prefix, 'ages'), name_of(prefix, 'lives'))
  redis.call('HSET', state.meta, 'epoch', decimal(state.epoch), 'sequence', '0', 'floor', '0',
    'sampled', '0', 'run', this_run())
end

-- Has the sequence go on above whatever was handed out and then lost with the server's last moments.
local function go_on(state)
  local known = state.sequence
  local by_age = (state.now - state.epoch + LOST_MS) * EVENTS_PER_MS
  state.sequence = math.max(known + LOST_EVENTS, by_age)
  local lives = name_of(state.prefix, 'lives')
  redis.call('RPUSH', lives, decimal(known) .. ' ' .. decimal(state.sequence))
  redis.call('LTRIM', lives, -LIVES, -1)
  redis.call('HSET', state.meta, 'sequence', decimal(state.sequence), 'run', this_run())
end

local function open(prefix)
  local meta = name_of(prefix, 'meta')
  local got = redis.call('HMGET', meta, 'epoch', 'sequence', 'floor', 'sampled', 'run', 'events', 'age',
    'bytes')
  local state = {
    prefix = prefix,
    meta = meta,
    now = milliseconds(),
    epoch = tonumber(got[1]) or 0,
    sequence = tonumber(got[2]),
    floor = tonumber(got[3]) or 0,
    sampled = tonumber(got[4]) or 0,
    events = tonumber(got[6]) or DEFAULT_EVENTS,
    age = tonumber(got[7]) or DEFAULT_AGE,
    bytes = tonumber(got[8]) or DEFAULT_BYTES,
  }
  if state.epoch == 0 or not state.sequence or state.sequence >= LARGEST then
    begin(state)
  elseif got[5] ~= this_run() then
    go_on(state)
  end
  return state
end

-- Whether the server has lost what an instance knows to have been stored.
local function has_lost(state, epoch, sequence)
  if epoch ~= decimal(state.epoch) then
    return false
  end
  if sequence > state.sequence then
    return true
  end
  for _, life in ipairs(redis.call('LRANGE', name_of(state.prefix, 'lives'), 0, -1)) do
    local known, above = string.match(life, '^(%d+) (%d+)$')
    if known and tonumber(known) < sequence and sequence < tonumber(above) then
      return true
    end
  end
  return false
end

-- Notes which sequence is the newest now, finds the one whose age is past the retention's, and forgets
-- topics that have nothing above it.
local function age(state)
  local every = state.age / SAMPLES
  if state.now >= state.sampled and state.now - state.sampled < every then
    return
  end
  local ages, topics = name_of(state.prefix, 'ages'), name_of(state.prefix, 'topics')
  redis.call('ZADD', ages, decimal(state.now), decimal(state.sequence))
  local past = decimal(state.now - state.age)
  local old = redis.call('ZREVRANGEBYSCORE', ages, past, '-inf', 'LIMIT', 0, 1)[1]
  if old then
    state.floor = math.max(state.floor, tonumber(old) or 0)
    redis.call('ZREMRANGEBYSCORE', ages, '-inf', past)
  end
  state.sampled = state.now
  local gone = redis.call('ZRANGEBYSCORE', topics, '-inf', decimal(state.floor), 'LIMIT', 0, FORGOTTEN)
  if #gone > 0 then
    redis.call('ZREM', topics, unpack(gone))
    if #gone == FORGOTTEN then
      -- There may be more: the next event goes on.
      state.sampled = state.now - every
    end
  end
  redis.call('HSET', state.meta, 'floor', decimal(state.floor), 'sampled', decimal(state.sampled))
end

local function store(prefix, topic, data, kind, name, event_key)
  local state = open(prefix)
  local size = #data + #name + #event_key
  local largest = math.max(state.bytes, EVENT_BYTES)
  if size > largest then
    return failure('an event must be at most ' .. decimal(largest) .. ' bytes large, this one has '
      .. decimal(size))
  end
  age(state)
  local topics, stream = name_of(prefix, 'topics'), name_of(prefix, 't:' .. topic)
  local sequence = state.sequence + 1
  local previous = tonumber(redis.call('ZSCORE', topics, topic) or nil)
  if not previous or previous <= state.floor then
    -- What its stream holds is past its age, or of another epoch.
    previous = state.floor
    redis.call('UNLINK', stream)
  end
  local message = table.concat({ hexadecimal(state.epoch), decimal(sequence), decimal(previous),
    decimal(state.now), kind, decimal(#name), decimal(#event_key) }, ' ')
    .. '\n' .. name .. event_key .. data
  local id = decimal(sequence) .. '-0'
  local added = redis.pcall('XADD', stream, 'MAXLEN', '~', decimal(state.events), id, 'm', message)
  if type(added) == 'table' and added.err then
    if not string.find(added.err, 'WRONGTYPE') and not string.find(added.err, 'equal or smaller') then
      return added
    end
    -- Somebody else wrote to it, or something else. Its past is lost, and readers see that in `previous`.
    redis.call('UNLINK', stream)
    redis.call('XADD', stream, id, 'm', message)
  end
  if state.floor > 0 then
    redis.call('XTRIM', stream, 'MINID', '~', decimal(state.floor + 1))
  end
  redis.call('PEXPIRE', stream, decimal(state.age))
  redis.call('ZADD', topics, decimal(sequence), topic)
  redis.call('HSET', state.meta, 'sequence', decimal(sequence))
  redis.call('PUBLISH', stream, message)
  return { state.epoch, sequence }
end

-- ASCII is found at once; the rest is looked at character by character.
local function is_utf8(text)
  local at = string.find(text, '[\128-\255]')
  while at do
    local first, second = string.byte(text, at, at + 1)
    local following, from, to = nil, 128, 191
    if first >= 194 and first <= 223 then
      following = 1
    elseif first >= 224 and first <= 239 then
      following = 2
      if first == 224 then from = 160 elseif first == 237 then to = 159 end
    elseif first >= 240 and first <= 244 then
      following = 3
      if first == 240 then from = 144 elseif first == 244 then to = 143 end
    end
    if not following or not second or second < from or second > to then
      return false
    end
    for further = at + 2, at + following do
      local byte = string.byte(text, further)
      if not byte or byte < 128 or byte > 191 then
        return false
      end
    end
    at = string.find(text, '[\128-\255]', at + following + 1)
  end
  return true
end

-- What is wrong with a prefix, if anything is.
local function prefix_issue(prefix)
  if not prefix or #prefix < 1 or #prefix > 64 or string.find(prefix, '[^%w_.:-]') then
    return 'expected the prefix as the one key: 1 to 64 letters, digits or - _ . :'
  end
end

local function topic_issue(topic)
  if #topic < 1 or #topic > 255 then
    return 'a topic name must be 1 to 255 bytes long, this one has ' .. #topic
  end
  if not is_utf8(topic) then
    return 'a topic name must be UTF-8'
  end
  if string.find(topic, '[%z\1-\31\127]') or string.find(topic, '\194[\128-\159]') then
    return 'a topic name must not contain a control character'
  end
  for token in string.gmatch(topic .. '.', '([^.]*)%.') do
    if token == '*' or token == '>' then
      return 'a topic name must not have a token * or >'
    end
  end
end

local function text_issue(what, text)
  if #text > 255 then
    return what .. ' must be at most 255 bytes long, this one has ' .. #text
  end
  if not is_utf8(text) then
    return what .. ' must be UTF-8'
  end
end

-- The entry for other languages:
-- FCALL realtime_publish 1 PREFIX TOPIC DATA [text|json|binary [NAME [KEY]]]
local function publish(keys, args)
  if #keys ~= 1 or #args < 2 or #args > 5 then
    return failure('expected: FCALL realtime_publish 1 PREFIX TOPIC DATA [text|json|binary [NAME [KEY]]]')
  end
  local topic, data, kind, name, event_key = args[1], args[2], args[3] or 'text', args[4] or '', args[5] or ''
  local issue = prefix_issue(keys[1]) or topic_issue(topic) or text_issue('an event name', name)
    or text_issue('an event key', event_key)
  if issue then
    return failure(issue)
  end
  if string.find(name, '[\r\n]') then
    return failure('an event name must not contain a line end')
  end
  if string.sub(name, 1, 9) == 'realtime.' then
    return failure('an event name must not start with realtime.')
  end
  if kind ~= 'text' and kind ~= 'json' and kind ~= 'binary' then
    return failure('the kind must be text, json or binary')
  end
  if #data > EVENT_BYTES then
    return failure('an event must be at most ' .. decimal(EVENT_BYTES) .. ' bytes large, this one has '
      .. decimal(#data))
  end
  if kind ~= 'binary' and not is_utf8(data) then
    return failure('the data of a ' .. kind .. ' event must be UTF-8: publish it as binary')
  end
  if kind == 'json' and not pcall(cjson.decode, data) then
    return failure('the data of a json event must be JSON')
  end
  return store(keys[1], topic, data, kind, name, event_key)
end

-- The same of an instance, which has checked all that: PREFIX; TOPIC DATA KIND NAME KEY.
local function store_checked(keys, args)
  return store(keys[1], args[1], args[2], args[3], args[4], args[5])
end

-- PREFIX; SEEN_EPOCH SEEN_SEQUENCE EVENTS AGE BYTES, the seen ones empty when nothing has been.
-- Tells epoch, sequence, and the revision of this library. Of the retentions that instances ask for
-- the largest counts, so that none gets less; to lower it, write to {P}:meta.
local function hello(keys, args)
  local state = open(keys[1])
  if args[1] ~= '' and has_lost(state, args[1], tonumber(args[2]) or 0) then
    begin(state)
  end
  redis.call('HSET', state.meta,
    'events', decimal(math.max(tonumber(args[3]) or 1, tonumber(redis.call('HGET', state.meta, 'events')) or 1)),
    'age', decimal(math.max(tonumber(args[4]) or 1, tonumber(redis.call('HGET', state.meta, 'age')) or 1)),
    'bytes', decimal(math.max(tonumber(args[5]) or 1, tonumber(redis.call('HGET', state.meta, 'bytes')) or 1)))
  return { state.epoch, state.sequence, REVISION }
end

-- PREFIX; INSTANCE TOKEN. Tells an instance, in the order of its live events, where the sequence is.
local function mark(keys, args)
  local state = open(keys[1])
  redis.call('PUBLISH', name_of(keys[1], 'm:' .. args[1]),
    hexadecimal(state.epoch) .. ' ' .. decimal(state.sequence) .. ' ' .. args[2])
  return redis.status_reply('OK')
end

-- PREFIX; TOPIC AFTER BEFORE LIMIT BYTES. Tells epoch, the topic's newest sequence or else the floor,
-- the time, and the newest entries, each as id and message, the newest first: at most LIMIT, and none
-- after BYTES. BEFORE is the id below which to look, or empty.
local function read(keys, args)
  local prefix, topic, before = keys[1], args[1], args[3]
  local after, limit, bytes = tonumber(args[2]), tonumber(args[4]), tonumber(args[5])
  local now = milliseconds()
  local meta = redis.call('HMGET', name_of(prefix, 'meta'), 'epoch', 'floor')
  if not meta[1] then
    return { 0, 0, now, {} }
  end
  local floor = tonumber(meta[2]) or 0
  local newest = math.max(tonumber(redis.call('ZSCORE', name_of(prefix, 'topics'), topic) or nil) or 0, floor)
  local entries, size = {}, 0
  local lowest = math.max(after, floor)
  if newest > lowest then
    local stream, first = name_of(prefix, 't:' .. topic), decimal(lowest + 1)
    local last = before == '' and '+' or '(' .. before
    local page = 16
    while limit > 0 and size < bytes do
      local count = math.min(page, limit)
      local got = redis.pcall('XREVRANGE', stream, last, first, 'COUNT', count)
      if got.err then
        break
      end
      for _, entry in ipairs(got) do
        local message = entry[2][1] == 'm' and entry[2][2] or ''
        entries[#entries + 1] = entry[1]
        entries[#entries + 1] = message
        size = size + #message
        last = '(' .. entry[1]
        limit = limit - 1
        if size >= bytes then
          break
        end
      end
      if #got < count then
        break
      end
      -- Large events come one by one, so that few of them are read that don't fit.
      page = size / #entries > 32768 and 1 or 128
    end
  end
  return { tonumber(meta[1]) or 0, newest, now, entries }
end

redis.register_function('realtime_publish', publish)
redis.register_function('realtime1_store', store_checked)
redis.register_function('realtime1_hello', hello)
redis.register_function('realtime1_mark', mark)
redis.register_function{ function_name = 'realtime1_read', callback = read, flags = { 'no-writes' } }
