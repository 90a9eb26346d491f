-- Replaces a key's record if it still is of the version that the caller has read. Epoch, time of last use and admissions stay as they are.
--
-- KEYS   1 record, 2 workspace settings, 3 list of its admissions
-- ARGV   1 version read (12 digits), 2 new record, 3 milliseconds that the list must be kept
-- Return 1 done, 0 changed by others meanwhile, -1 no such key
local record, settings, sub = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), string.sub
if not record or not settings or sub(record, 34, 41) ~= sub(settings, 18, 25) then return -1 end
if sub(record, 85, 96) ~= ARGV[1] then return 0 end
local admissions = sub(record, (struct.unpack('>H', record, 67)))
redis.call('SET', KEYS[1], sub(ARGV[2], 1, 33) .. sub(record, 34, 41) .. sub(ARGV[2], 42, 58) .. sub(record, 59, 66) .. sub(ARGV[2], 67, 68) .. sub(record, 69, 84) .. sub(ARGV[2], 85) .. admissions)
if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[3], ARGV[3]) end
return 1
