-- Stores a note unless there is one.
--
-- KEYS   1 note
-- ARGV   1 value, 2 milliseconds that it is kept
-- Return the value that is there already, false if it was stored
local value = redis.call('GET', KEYS[1])
if not value then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return value
