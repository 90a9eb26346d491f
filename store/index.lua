-- Sets the index entry of a digest if it is what the caller believes.
--
-- KEYS   1 bucket of the digest
-- ARGV   1 the store's id, 2 digest, 3 place that the entry must name now ("": there must be none), 4 place to write ("": remove)
-- Return "" done, the place that the entry names instead, or "!" if the bucket is not this store's
local found = redis.call('HMGET', KEYS[1], '', ARGV[2])
if found[1] ~= ARGV[1] then return '!' end
if (found[2] or '') ~= ARGV[3] then return found[2] or ARGV[4] end
if ARGV[4] == '' then
	redis.call('HDEL', KEYS[1], ARGV[2])
else
	redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
end
return ''
