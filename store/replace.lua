-- Replaces a note if its value is what the caller has read.
--
-- KEYS   1 note
-- ARGV   1 value read, 2 new value ("": remove), 3 milliseconds that it is kept
-- Return 1 done, 0 it has another value, or none
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
	redis.call('DEL', KEYS[1])
else
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
