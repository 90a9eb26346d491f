-- Replaces a workspace's settings if they still are of the version that the caller has read. Epoch and admissions stay as they are.
--
-- KEYS   1 workspace settings, 2 list of its admissions
-- ARGV   1 the store's id, 2 version read (12 digits; 0: there were none), 3 new settings, 4 milliseconds that the list must be kept
-- Return 1 done, 0 changed by others meanwhile, -1 the settings are another store's
local settings, sub = redis.call('GET', KEYS[1]), string.sub
if not settings then
	if tonumber(ARGV[2]) ~= 0 then return 0 end -- no settings, so no admissions either
	redis.call('SET', KEYS[1], ARGV[3])
	return 1
end
if sub(settings, 2, 17) ~= ARGV[1] then return -1 end
if sub(settings, 46, 57) ~= ARGV[2] then return 0 end
local admissions = sub(settings, (struct.unpack('>H', settings, 28)))
redis.call('SET', KEYS[1], sub(ARGV[3], 1, 17) .. sub(settings, 18, 25) .. sub(ARGV[3], 26, 29) .. sub(settings, 30, 45) .. sub(ARGV[3], 46) .. admissions)
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
return 1
