-- Files, pipes, programs, the clock, the environment: what Lua's io and os libraries ask of a system.
local function check(name, got, wanted)
    print((got == wanted and "ok " or "not ok ") .. name .. (got == wanted and "" or ": " .. tostring(got)))
end

local name = os.tmpname()
check("a temporary name", name:match("^/tmp/lua_") ~= nil, true)

-- Written, appended, read in each form.
local f = assert(io.open(name, "w"))
for i = 1, 10000 do f:write(i, " ", i * i, "\n") end
check("position after writing", f:seek("cur"), 134276)
f:close()
f = assert(io.open(name, "a"))
f:write("the last line without an end")
f:close()
local lines, sum = 0, 0
for line in io.lines(name) do
    lines = lines + 1
    sum = sum + (tonumber(line:match("^%d+ (%d+)$")) or 0)
end
check("lines", lines, 10001)
check("squares", sum, 333383335000)
f = assert(io.open(name, "r"))
check("two numbers", table.concat({f:read("n", "n")}, ","), "1,1")
check("size by seek", f:seek("end"), 134304)
check("read at the end", f:read(1), nil)
check("read all at the end", f:read("a"), "")
f:seek("set", 134276)
check("the last line", f:read("l"), "the last line without an end")
f:close()

-- Changed in the middle, with gaps.
f = assert(io.open(name, "r+b"))
f:seek("set", 200000)
f:write("\0\1\2\255")
f:seek("set", 0)
f:write("ONE")
f:seek("set", 0)
local all = f:read("a")
check("a gap is read as zeros", all:sub(140000, 199999):find("[^\0]"), nil)
check("what is behind it", #all .. " " .. all:byte(-1) .. " " .. all:sub(1, 4), "200004 255 ONE\n")
f:close()

-- Buffering: nothing is there before a flush, all is afterwards.
f = assert(io.open(name, "w"))
f:setvbuf("full", 65536)
f:write("abc")
local other = assert(io.open(name))
check("not yet written", other:read("a"), "")
f:flush()
check("written", other:read("a"), "abc")
other:close()
f:close()

-- Names.
check("renamed", os.rename(name, name .. ".new"), true)
check("the old name is gone", select(3, io.open(name)), 2)
check("a folder is no file", select(3, io.open("/tmp"):read(1)), 21)
check("no such folder", select(3, io.open("/no/such/file", "w")), 2)
check("removed", os.remove(name .. ".new"), true)
check("not twice", select(3, os.remove(name .. ".new")), 2)

-- Programs.
local p = assert(io.popen("seq 1 50000 | sort -rn | head -n 2; exit 3"))
check("what a pipeline says", p:read("a"), "50000\n49999\n")
check("its status", table.concat({select(2, p:close())}, " "), "exit 3")
p = assert(io.popen("md5sum", "w"))
check("it can be written to", p:write("x"):close(), true)
check("killed by a signal", table.concat({select(2, os.execute("kill -9 $$"))}, " "), "signal 9")
check("a shell is there", os.execute(), true)
for i = 1, 20 do if not os.execute("exit 0") then print("not ok program " .. i) end end
check("the environment", os.getenv("HOME") ~= nil and os.getenv("NO_SUCH_NAME") == nil, true)
check("a date", os.date("!%Y-%m-%d %H:%M:%S", 1000000000), "2001-09-09 01:46:40")
local t = os.time()
os.execute("sleep 1")
check("a second", os.time() - t >= 1 and os.time() - t < 10, true)
check("time of the CPU is not that of the clock", os.clock() < 60, true)
