-- Finds the places of a batch of digests in the index.
--
-- KEYS   n buckets, each a hash from digest to place ("workspace/id"); its field "" holds the store's id, so that an emptied bucket is not taken for an empty one
-- ARGV   1 nonce, 2 the store's id, then n digests of 32 bytes
-- Return one string: the nonce, then for each digest: F found, U unknown, L data lost | digest 32 | length of the place 3 | place
local answers = {ARGV[1]}
for i = 1, #KEYS do
	local digest = ARGV[2 + i]
	local found = redis.pcall('HMGET', KEYS[i], '', digest)
	local verdict, place = 'L', ''
	if found[1] == ARGV[2] then
		verdict, place = found[2] and 'F' or 'U', found[2] or ''
	end
	answers[i + 1] = verdict .. digest .. string.format('%03d', #place) .. place
end
return table.concat(answers)
