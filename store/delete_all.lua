-- Ends all keys of a workspace in one write: its epoch grows, and records of an older epoch are dead. The sweep removes them later.
--
-- KEYS   1 workspace settings, 2 sorted set of its keys, 3 sorted set of its dead keys
-- ARGV   1 the store's id
-- Return 1 done, 0 the workspace has never had a key, -1 the settings are another store's
local settings = redis.call('GET', KEYS[1])
if not settings then return 0 end
if string.sub(settings, 2, 17) ~= ARGV[1] then return -1 end
local epoch = string.format('%08d', tonumber(string.sub(settings, 18, 25)) + 1)
local version = string.format('%012d', tonumber(string.sub(settings, 46, 57)) + 1)
redis.call('SET', KEYS[1], string.sub(settings, 1, 17) .. epoch .. string.sub(settings, 26, 45) .. version .. string.sub(settings, 58))
if redis.call('EXISTS', KEYS[3]) == 1 then
	redis.call('ZUNIONSTORE', KEYS[3], '2', KEYS[3], KEYS[2])
	redis.call('UNLINK', KEYS[2])
elseif redis.call('EXISTS', KEYS[2]) == 1 then
	redis.call('RENAME', KEYS[2], KEYS[3])
end
return 1
