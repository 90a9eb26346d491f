-- Writes a new key's record. The index entry follows (index.lua): a crash between leaves a record that no check finds.
--
-- KEYS   1 record, 2 workspace settings, 3 sorted set of the workspace's keys
-- ARGV   1 the store's id, 2 settings to write if there are none, 3 record with any epoch, 4 member of the sorted set
-- Return 1 done, 0 a key of this id exists, -1 the settings are another store's
local settings = redis.call('GET', KEYS[2])
if not settings then
	settings = ARGV[2]
	redis.call('SET', KEYS[2], settings)
elseif string.sub(settings, 2, 17) ~= ARGV[1] then
	return -1
end
local epoch, existing = string.sub(settings, 18, 25), redis.call('GET', KEYS[1])
if existing and string.sub(existing, 34, 41) == epoch then return 0 end
redis.call('SET', KEYS[1], string.sub(ARGV[3], 1, 33) .. epoch .. string.sub(ARGV[3], 42))
redis.call('ZADD', KEYS[3], '0', ARGV[4])
return 1
