-- Finds the places of a batch of digests in the index.
--
-- KEYS   n buckets, each a hash from digest to place ("workspace/id"); its field "" holds the store's id, so that an emptied bucket is not taken for an empty one
-- ARGV   1 nonce, 2 the store's id, then n digests of 32 bytes
-- Return one string: the nonce, then for each digest: F found, U unknown, L data lost | digest 32 | length of the place 3 | place
local keys, argv, ask, store_id = KEYS, ARGV, redis.pcall, ARGV[2]
local answers = {argv[1], unpack(keys, 1, 4 * #keys)} -- as long as it will be: a table that grows is copied each time that it doubles
for i = 1, #keys do
	local at, digest = 4 * i - 2, argv[2 + i]
	local found = ask('HMGET', keys[i], '', digest)
	local place = found[2]
	answers[at], answers[at + 1], answers[at + 2], answers[at + 3] = 'U', digest, '000', ''
	if found[1] ~= store_id then
		answers[at] = 'L'
	elseif place then
		answers[at], answers[at + 2], answers[at + 3] = 'F', string.format('%03d', #place), place
	end
end
return table.concat(answers)
