-- Replaces a workspace's settings if they still are of the version that the caller has read. The epoch stays as it is.
--
-- KEYS   1 workspace settings, 2 admissions of the workspace
-- ARGV   1 the store's id, 2 version read (12 digits; 0: there were none), 3 new settings, 4 milliseconds that the admissions must be kept
-- Return 1 done, 0 changed by others meanwhile, -1 the settings are another store's
local settings = redis.call('GET', KEYS[1])
if not settings then
	if tonumber(ARGV[2]) ~= 0 then return 0 end -- no settings, so no admissions either
	redis.call('SET', KEYS[1], ARGV[3])
	return 1
end
if string.sub(settings, 2, 17) ~= ARGV[1] then return -1 end
local version = 28 + 17 * (tonumber(string.sub(settings, 27, 27)) or 0) -- behind the limit
if string.sub(settings, version, version + 11) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], string.sub(ARGV[3], 1, 17) .. string.sub(settings, 18, 25) .. string.sub(ARGV[3], 26))
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
return 1
