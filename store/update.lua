-- Replaces a key's record if it still is of the version that the caller has read. Epoch and time of last use stay as they are.
--
-- KEYS   1 record, 2 workspace settings
-- ARGV   1 version read (12 digits), 2 new record
-- Return 1 done, 0 changed by others meanwhile, -1 no such key
local record, settings = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if not record or not settings or string.sub(record, 96, 103) ~= string.sub(settings, 18, 25) then return -1 end
if string.sub(record, 172, 183) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], string.sub(ARGV[2], 1, 95) .. string.sub(record, 96, 118) .. string.sub(ARGV[2], 119))
return 1
