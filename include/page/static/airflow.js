// Links into Airflow's own pages. The frame may not navigate the window around it, so that is done by its own means.

const ROOT = location.pathname.replace(/\/dts\/page\/.*$/, "");

/** The task of an attempt, with its log: `dag/run/task/map index`, and which try. */
export function logPath(attempt) {
  const { dag_id: dag, run_id: run, task_id: task, map_index: index, try_number: number } = attempt;
  if (!dag || !run || !task) return null;
  const mapped = index === null || index === undefined || index < 0 ? "" : `/mapped/${index}`;
  const tried = number ? `?try_number=${number}` : "";
  return `${ROOT}/dags/${part(dag)}/runs/${part(run)}/tasks/${part(task)}${mapped}${tried}`;
}

export function runPath(dag, run) {
  return `${ROOT}/dags/${part(dag)}/runs/${part(run)}`;
}

function part(word) { return encodeURIComponent(word); }

/** Follow links with `data-airflow` in the window around the frame. */
export function followInAirflow() {
  const follow = (event) => {
    const link = event.target.closest?.("a[data-airflow]");
    if (!link || parent === window || event.button > 1) return;
    event.preventDefault();
    const there = parent.document.createElement("a");
    there.href = link.href;
    if (event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey) there.target = "_blank";
    parent.document.body.append(there);
    there.click();
    there.remove();
  };
  document.addEventListener("click", follow);
  document.addEventListener("auxclick", follow);
}
