-- Removes a key's record, and with it the key: the index entries that the caller removes next mean nothing without it.
--
-- KEYS   1 record, 2 workspace settings, 3 sorted set of the workspace's keys, 4 list of its admissions
-- ARGV   1 member of the sorted set, 2 digest that the record must have ("": any), 3 epoch that the record must not have ("": any)
-- Return the record; false if there is no such key (then nothing is changed but the sorted set)
local record, settings = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if not record or (ARGV[2] ~= '' and string.sub(record, 2, 33) ~= ARGV[2]) or string.sub(record, 34, 41) == ARGV[3] then return false end
redis.call('DEL', KEYS[1], KEYS[4])
redis.call('ZREM', KEYS[3], ARGV[1])
if ARGV[3] == '' and (not settings or string.sub(record, 34, 41) ~= string.sub(settings, 18, 25)) then return false end
return record
