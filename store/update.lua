-- Replaces a key's record if it still is of the version that the caller has read. Epoch and time of last use stay as they are.
--
-- KEYS   1 record, 2 workspace settings, 3 admissions of the key
-- ARGV   1 version read (12 digits), 2 new record, 3 milliseconds that the admissions must be kept
-- Return 1 done, 0 changed by others meanwhile, -1 no such key
local record, settings = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if not record or not settings or string.sub(record, 49, 56) ~= string.sub(settings, 18, 25) then return -1 end
local version = 74 + 17 * (tonumber(string.sub(record, 73, 73)) or 0) -- behind the limit
if string.sub(record, version, version + 11) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], string.sub(ARGV[2], 1, 33) .. string.sub(record, 34, 56) .. string.sub(ARGV[2], 57))
if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[3], ARGV[3]) end
return 1
