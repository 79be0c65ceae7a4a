import moves, reader, time, pprint
def test_x(sensei, pg_dataset, make_pg_db, tmp_path, sqlite_dataset):
    for name, schemas in (("pagila", None), ("adventureworks", ["humanresources","person","production","purchasing","sales"])):
        src = pg_dataset(name)
        for tgt in (tmp_path/f"{name}.out.db", make_pg_db()):
            t=time.time()
            m = moves.plan_move(sensei, src, tgt, schemas=schemas, options={"parallelism":2})
            print(time.time()-t, len(m.plan["steps"]), len(m.plan["not_migrated"]))
            import collections
            print(collections.Counter(k for k,_,_ in m.left()))
            for k,o,r in m.left():
                if k not in ("view","materialized view","grant"): print("  ",k,o,r)
            for r in m.plan["risks"]:
                if r["severity"] in("blocking","high","medium"): print("  R",r["severity"],r["table"],r["column"],r["reason"])
            t=time.time()
            r = m.start(expect=None)
            print(r.returncode, r.stdout[-500:], r.stderr[-1500:], time.time()-t)
